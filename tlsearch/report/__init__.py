"""Tables, sentences and pictures of what a study knows."""

"""Tables, sentences and pictures of a study's results."""

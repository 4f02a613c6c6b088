"""optuna-dashboard on the studies of tlsearch: who may see it, its notes and its files."""

"""Learning-curve tables, made by real training, and what Optuna's pruners find in them."""

"""The study `training_methods`: methods, penalties and losses at equal images, each learning rate tuned."""

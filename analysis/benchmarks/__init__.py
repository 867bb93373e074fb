"""Speed, measured side by side as ratios; nothing is asserted here."""

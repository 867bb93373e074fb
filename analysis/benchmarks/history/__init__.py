"""What asv follows over commits, as ratios measured in one process; `asv.conf.json` names this folder."""

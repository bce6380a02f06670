"""Speed and memory against a stated baseline, measured in pairs, one module per benchmark."""

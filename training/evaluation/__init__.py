"""Depth against truth: the protocol, the metrics, the baselines and the loop over a bag."""

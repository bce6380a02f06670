"""Semantic segmentation networks: what guides the depth network and labels every pixel."""

"""Offline inference: from images, videos and bags to pictures, clouds and bags."""

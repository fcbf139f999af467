"""Inference data to figures."""

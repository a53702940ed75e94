"""Tests of loader."""

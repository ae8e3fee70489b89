"""Measuring rankings: relevance, statistics, comparison, tuning of the fusion, reports."""

"""Files of judgments, queries and runs, in and out: TREC, BEIR, DaReCzech."""

"""What stores in SQL databases share: jobs as rows, what of a log makes way, jobs that no run ends."""

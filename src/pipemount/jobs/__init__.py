"""Jobs: records of runs that outlive the request that asked for them, where they are kept, and who performs them."""

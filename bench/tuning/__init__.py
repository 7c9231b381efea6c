"""Finding how many requests in flight, and which mode, a workload and an endpoint need: few requests, one at a time."""

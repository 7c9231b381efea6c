"""A batch of LLM work under the concurrency model of your choice, measured so that the numbers can be believed."""

"""What is told afterwards: pages and pictures of a run."""

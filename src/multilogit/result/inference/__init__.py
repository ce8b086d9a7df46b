"""What a fit says about its parameters: tests, profiles, the bootstrap, robust covariances."""

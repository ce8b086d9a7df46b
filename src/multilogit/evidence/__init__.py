"""How strong the prior should be, and what the Gaussian at the mode does not tell.

Everything here works on plain arrays and objectives: evidence and its normalising constants,
importance samples of the posterior, scores of predictions left out.
"""

# Covariates of the simulations in sections S4.1 and S4.2 of the supplement to Sterzinger & Kosmidis
# (2023, Maximum softly-penalized likelihood for mixed effects logistic regression, Statistics and
# Computing 33:53): the seed of R's default generator is 1, 2, 3 for 50, 100, 200 rows per group.
sizes <- c(50, 100, 200)
for (i in seq_along(sizes)) {
  set.seed(i)
  rows <- 5 * sizes[i]
  x2 <- rnorm(rows)
  x3 <- rbinom(rows, 1, 0.5)
  x4 <- rbinom(rows, 1, 0.2)
  x5 <- rexp(rows)
  write.csv(
    data.frame(x2 = signif(x2, 8), x3, x4, x5 = signif(x5, 8)),
    sprintf("sterzinger_kosmidis_%d.csv", sizes[i]), row.names = FALSE, quote = FALSE
  )
}

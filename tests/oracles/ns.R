# Natural splines of R's splines::ns, inside and beyond the data, for tests/formula/
# test_natural_splines.py, which holds what is printed.
library(splines)
x <- c(0.3, 1.1, 1.9, 2.2, 3.7, 4.1, 5.6, 6.0, 7.4, 9.2)
new <- c(-2, 0.3, 2.5, 9.2, 11)
for (made in list(ns(x, df = 4), ns(x, knots = c(2, 5)), ns(x, df = 1),
                  ns(x, knots = 4, Boundary.knots = c(1, 8)))) {
  cat("\n")
  for (row in seq_along(new)) cat(sprintf("%.15g,", predict(made, new)[row, ]), "\n")
}

# Fit one model once with an engine of R and print what it took and where it stopped, as JSON.
# Rscript worker.R ENGINE DATA.csv FORMULA NODES
arguments <- commandArgs(trailingOnly = TRUE)
engine <- arguments[1]
data <- read.csv(arguments[2], stringsAsFactors = TRUE)
formula <- as.formula(arguments[3])
nodes <- as.integer(arguments[4])
suppressPackageStartupMessages(library(engine, character.only = TRUE))

# The grouping factors and, to load code with, 2000 rows with few levels.
bars <- if (engine == "nnet") list() else lme4::findbars(formula)
groups <- vapply(bars, function(bar) deparse(bar[[3]]), "")
small <- head(data, 2000)
for (name in groups) {
  if (is.integer(small[[name]])) small[[name]] <- small[[name]] %% 40
  small[[name]] <- factor(small[[name]])
  data[[name]] <- factor(data[[name]])
}

fit <- switch(engine,
  lme4 = function(d) glmer(formula, family = binomial, data = d, nAGQ = nodes),
  glmmTMB = function(d) glmmTMB(formula, family = binomial, data = d),
  # The default tolerance, 1e-8, stops 1e-3 below the maximum.
  nnet = function(d) {
    multinom(formula, d, Hess = TRUE, trace = FALSE, maxit = 1000, reltol = 1e-14, abstol = 0)
  }
)
invisible(suppressWarnings(fit(droplevels(small))))

memory <- function(name) {
  status <- readLines("/proc/self/status")
  as.numeric(gsub("[^0-9]", "", grep(paste0("^", name, ":"), status, value = TRUE))) / 1024
}
invisible(gc())
cat("5", file = "/proc/self/clear_refs") # VmHWM starts again from what is used now
before <- memory("VmRSS")
repeats <- 0
started <- proc.time()
repeat {
  model <- suppressWarnings(fit(data))
  errors <- vcov(model)
  repeats <- repeats + 1
  used <- proc.time() - started
  if (used[["elapsed"]] > 0.35) break
}
peak <- memory("VmHWM")

beta <- switch(engine, lme4 = fixef(model), glmmTMB = fixef(model)$cond, nnet = t(coef(model)))
found <- switch(engine, lme4 = VarCorr(model), glmmTMB = VarCorr(model)$cond, nnet = list())
digits <- function(x) paste(sprintf("%.17g", x), collapse = ", ")
rows <- function(m) paste0("[", apply(unclass(m), 1, digits), "]", collapse = ", ")
covariance <- vapply(groups, function(g) sprintf('"%s": [%s]', g, rows(found[[g]])), "")
cat(sprintf(
  paste0(
    '{"cpu": %.6f, "wall": %.6f, "peak_mib": %.1f, "added_mib": %.1f, "beta": [%s], ',
    '"covariance": {%s}, "version": "%s"}\n'
  ),
  sum(used[c("user.self", "sys.self", "user.child", "sys.child")], na.rm = TRUE) / repeats,
  used[["elapsed"]] / repeats, peak, peak - before,
  digits(beta), paste(covariance, collapse = ", "), packageVersion(engine)
))

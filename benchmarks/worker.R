# Fit one model once with lme4 or glmmTMB and print what it took, as JSON.
# Rscript worker.R ENGINE DATA.csv FORMULA NODES
arguments <- commandArgs(trailingOnly = TRUE)
engine <- arguments[1]
data <- read.csv(arguments[2])
# Whole numbers are labels, but for the response.
labels <- setdiff(names(data)[sapply(data, is.integer)], "y")
data[labels] <- lapply(data[labels], factor)
formula <- as.formula(arguments[3])
nodes <- as.integer(arguments[4])
suppressPackageStartupMessages(library(engine, character.only = TRUE))

fit <- switch(engine,
  lme4 = function(d) glmer(formula, family = binomial, data = d, nAGQ = nodes),
  glmmTMB = function(d) glmmTMB(formula, family = binomial, data = d)
)
invisible(suppressWarnings(fit(droplevels(head(data, 2000))))) # loads all code
used <- system.time({
  model <- fit(data)
  errors <- vcov(model)
})

# lme4 reports its log-likelihood with loosely converged modes: take it at its estimates, tightly.
loglik <- function(model) {
  if (engine != "lme4") return(as.numeric(logLik(model)))
  tight <- glmerControl(nAGQ0initStep = FALSE, tolPwrss = 1e-10)
  deviance <- update(model, devFunOnly = TRUE, control = tight, data = data)
  -deviance(c(getME(model, "theta"), fixef(model))) / 2
}
cat(sprintf(
  '{"cpu": %.4f, "wall": %.4f, "loglik": %.10f}\n',
  sum(used[c("user.self", "sys.self", "user.child", "sys.child")], na.rm = TRUE),
  used["elapsed"], loglik(model)
))

# Fit one model once with lme4 or glmmTMB and print what it took, as JSON.
# Rscript worker.R ENGINE DATA.csv FORMULA
arguments <- commandArgs(trailingOnly = TRUE)
engine <- arguments[1]
data <- read.csv(arguments[2])
data$g <- factor(data$g)
formula <- as.formula(arguments[3])
suppressPackageStartupMessages(library(engine, character.only = TRUE))

fit <- switch(engine,
  lme4 = function(d) glmer(formula, family = binomial, data = d),
  glmmTMB = function(d) glmmTMB(formula, family = binomial, data = d)
)
used <- system.time({
  model <- fit(data)
  errors <- vcov(model)
})
cat(sprintf(
  '{"cpu": %.4f, "wall": %.4f, "loglik": %.10f}\n',
  sum(used[c("user.self", "sys.self", "user.child", "sys.child")], na.rm = TRUE),
  used["elapsed"], as.numeric(logLik(model))
))

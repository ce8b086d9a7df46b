# Fit many data sets with glmer or bglmer: Rscript worker.R DATA.csv OUT.csv FORMULA PACKAGE NODES PRIOR
# DATA.csv has a column "set"; OUT.csv gets one row per set, in order: how it ended, seconds, beta,
# standard deviations, correlations, standard errors of beta.
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
formula <- as.formula(arguments[3])
package <- arguments[4]
nodes <- as.integer(arguments[5])
prior <- arguments[6]
suppressPackageStartupMessages(library(package, character.only = TRUE))
mixed <- grepl("|", arguments[3], fixed = TRUE)

fit <- function(d) {
  if (!mixed) return(glm(formula, family = binomial, data = d))
  if (package == "lme4") return(glmer(formula, family = binomial, data = d, nAGQ = nodes))
  fixed <- if (prior == "t") quote(t) else quote(normal)
  eval(bquote(bglmer(formula, family = binomial, data = d, nAGQ = nodes, fixef.prior = .(fixed))))
}

results <- function(model) {
  if (!mixed) {
    return(list(coef(model), numeric(0), sqrt(diag(vcov(model))), model$converged))
  }
  covariance <- VarCorr(model)[[1]]
  correlation <- attr(covariance, "correlation")
  messages <- unlist(model@optinfo$conv$lme4$messages)
  messages <- messages[!grepl("singular", messages)]
  list(
    fixef(model), c(attr(covariance, "stddev"), correlation[lower.tri(correlation)]),
    sqrt(diag(as.matrix(vcov(model)))), length(messages) == 0 && model@optinfo$conv$opt == 0
  )
}

one <- function(d) {
  d$g <- factor(d$g)
  began <- proc.time()[["elapsed"]]
  out <- tryCatch(results(suppressMessages(suppressWarnings(fit(d)))), error = conditionMessage)
  seconds <- proc.time()[["elapsed"]] - began
  if (is.character(out)) return(c("failed", gsub("[\",\n]", " ", out), seconds))
  status <- if (out[[4]]) "converged" else "not_converged"
  c(status, "", seconds, sprintf("%.17g", c(out[[1]], out[[2]], out[[3]])))
}

invisible(suppressMessages(suppressWarnings(try(fit(within(
  data[data$set == data$set[1], ], g <- factor(g)
)), silent = TRUE)))) # loads all code
rows <- lapply(split(data, data$set), one)
writeLines(vapply(rows, paste, "", collapse = ","), arguments[2])

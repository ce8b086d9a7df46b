# Intervals and tests by R: tests/oracles/inference.json.
#
# Usage: Rscript tests/oracles/inference.R BANK > tests/oracles/inference.json (some minutes), BANK
# being the directory that holds data/. Profiles: glmmTMB's objective with TMB's exact gradient;
# with one parameter held, nlminb and Newton steps maximise over the rest, and uniroot finds
# where 2 (max - profile) is qchisq(.95, 1). lme4: confint(glmer), an hour of bobyqa in all.
suppressMessages({library(glmmTMB); library(car); library(sandwich); library(jsonlite)})
bank <- commandArgs(TRUE)[1]
read <- function(name, factors) {
  d <- read.csv(file.path(bank, "data", paste0(name, ".csv")))
  for (f in factors) d[[f]] <- factor(d[[f]])
  d
}
contraception <- read("contraception", c("livch", "urban", "district"))
birthwt <- read("birthwt", c("race", "ftv3"))

polish <- function(fn, gr, p) {
  for (i in 1:3) p <- p - solve(optimHess(p, fn, gr), as.vector(gr(p)))
  p
}
ends <- function(obj, p, k) {
  top <- obj$fn(p); se <- sqrt(solve(optimHess(p, obj$fn, obj$gr))[k, k])
  excess <- function(c) {
    whole <- function(q) append(q, c, k - 1)
    fn <- function(q) obj$fn(whole(q)); gr <- function(q) obj$gr(whole(q))[-k]
    q <- polish(fn, gr, nlminb(p[-k], fn, gr)$par)
    2 * (fn(q) - top) - qchisq(.95, 1)
  }
  sapply(c(-1, 1), function(s)
    uniroot(excess, sort(p[k] + s * se * c(1, 4)), tol = 1e-9, extendInt = "yes")$root)
}
profiles <- function(formula) {
  fit <- glmmTMB(formula, contraception, family = binomial)
  p <- polish(fit$obj$fn, fit$obj$gr, fit$fit$par)
  rows <- t(sapply(seq_along(p), function(k) ends(fit$obj, p, k)))
  beta <- names(p) == "beta"
  rows[!beta, ] <- exp(rows[!beta, ])  # log sd
  names <- c(names(fixef(fit)$cond), c("sd_(Intercept)|district", "sd_urbanY|district",
                                       "cor_urbanY.(Intercept)|district"))[seq_along(p)]
  if (sum(!beta) == 3) {               # theta of a correlation: theta / sqrt(1 + theta^2)
    theta <- log(rows[nrow(rows), ])
    rows[nrow(rows), ] <- theta / sqrt(1 + theta^2)
  }
  setNames(lapply(seq_along(p), function(k) rows[k, ]), names)
}

glm1 <- glm(low ~ age + lwt + race + smoke + ptd + ht + ui + ftv3, binomial, birthwt,
            control = glm.control(epsilon = 1e-14))
type3 <- Anova(glm1, type = 3, test.statistic = "Wald")
joint <- linearHypothesis(glm1, c("raceother = racewhite", "smoke = 0.5"), test = "Chisq")
terms <- as.matrix(type3)
glm2 <- glm(y ~ age + urban + livch, binomial, contraception,
            control = glm.control(epsilon = 1e-14))
se <- function(v) as.list(sqrt(diag(v)))
out <- list(
  made_with = paste("R", getRversion(), "glmmTMB", packageVersion("glmmTMB"), "car",
                    packageVersion("car"), "sandwich", packageVersion("sandwich")),
  contraception_profile = list(
    ri = profiles(y ~ age + I(age^2) + urban + livch + (1 | district)),
    slope = profiles(y ~ age + I(age^2) + urban + livch + (1 + urban | district))),
  birthwt_terms = setNames(lapply(seq_len(nrow(terms)), function(i) unname(terms[i, ])),
                           rownames(terms)),
  birthwt_joint = list(hypothesis = "raceother = racewhite, smoke = 0.5",
                       chisq = joint$Chisq[2], df = joint$Df[2], p = joint[["Pr(>Chisq)"]][2]),
  contraception_se = c(
    sapply(c("HC0", "HC1", "HC2", "HC3"), function(k) se(vcovHC(glm2, k)), simplify = FALSE),
    list(CR0 = se(vcovCL(glm2, contraception$district, type = "HC0", cadjust = FALSE)),
         CR1 = se(vcovCL(glm2, contraception$district, type = "HC0", cadjust = TRUE)),
         CR1S = se(vcovCL(glm2, contraception$district, type = "HC1", cadjust = TRUE)))))
cat(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = TRUE), "\n")

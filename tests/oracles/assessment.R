# Numbers that tests/assess/test_against_r.py compares with: writes assessment.json next to itself.
#
# Usage: Rscript tests/oracles/assessment.R
# R 4.2.2, lme4 1.1-31, pROC 1.18.0, car 3.1-1, nnet; data from MASS, lme4 and mlmRev. What has no
# package here is written out by its formula, in R and not as the Python code writes it.

suppressPackageStartupMessages({
  library(lme4); library(pROC); library(MASS); library(nnet); library(jsonlite)
})
tight <- glm.control(epsilon = 1e-15, maxit = 100)
out <- list()

# ---- single level, one trial per row --------------------------------------------------------
data(birthwt)
birthwt$race <- factor(birthwt$race)
b <- glm(low ~ age + lwt + race + smoke + ptl + ht + ui + ftv, binomial, birthwt, control = tight)
p <- fitted(b); y <- birthwt$low
cut_hl <- cut(p, unique(quantile(p, seq(0, 1, 0.1))), include.lowest = TRUE)
O <- tapply(y, cut_hl, sum); E <- tapply(p, cut_hl, sum); n <- tapply(y, cut_hl, length)
hl <- sum((O - E)^2 / E + ((n - O) - (n - E))^2 / (n - E))
eta <- predict(b)
z1 <- 0.5 * eta^2 * (eta >= 0); z2 <- -0.5 * eta^2 * (eta < 0)
stukel <- anova(b, update(b, . ~ . + z1 + z2), test = "Rao")$Rao[2]
X <- model.matrix(b)
patterns <- apply(X, 1, paste, collapse = "|")
first <- !duplicated(patterns)
nj <- as.vector(table(patterns)[patterns[first]])
yj <- as.vector(tapply(y, patterns, sum)[patterns[first]])
pj <- p[first]; vj <- nj * pj * (1 - pj)
rss <- deviance(lm((1 - 2 * pj) / vj ~ X[first, ] - 1, weights = vj))
x2 <- sum((yj - nj * pj)^2 / vj)
osius <- (x2 - (length(nj) - ncol(X))) / sqrt(2 * (length(nj) - sum(1 / nj)) + rss)
curve <- roc(y, p, quiet = TRUE, direction = "<")
null <- glm(low ~ 1, binomial, birthwt)
recal <- glm(y ~ I(qlogis(p^1.5)), binomial, control = tight)
large <- glm(y ~ 1 + offset(qlogis(p^1.5)), binomial, control = tight)
few <- 1:20
# R's dfbeta takes deviance residuals where its Cook's distance, and one Newton step, take
# Pearson's.
step <- residuals(b, "pearson") / residuals(b)
out$birthwt <- list(
  hat = hatvalues(b)[few], cooks = cooks.distance(b)[few], dfbeta = unname(dfbeta(b) * step)[few, ],
  deviance = residuals(b)[few], pearson = residuals(b, "pearson")[few],
  response = residuals(b, "response")[few],
  hosmer_lemeshow = hl, stukel = stukel, osius_rojek = osius,
  pearson_patterns = x2, n_patterns = length(nj),
  auc = as.numeric(auc(curve)), auc_se = sqrt(var(curve)),
  points = coords(curve, c(0.2, 0.5), input = "threshold",
                  ret = c("sensitivity", "specificity"), transpose = FALSE),
  mcfadden = 1 - as.numeric(logLik(b) / logLik(null)),
  cox_snell = 1 - exp(2 / 189 * as.numeric(logLik(null) - logLik(b))),
  nagelkerke = (1 - exp(2 / 189 * as.numeric(logLik(null) - logLik(b)))) /
    (1 - exp(2 / 189 * as.numeric(logLik(null)))),
  tjur = mean(p[y == 1]) - mean(p[y == 0]),
  brier = mean((p - y)^2),
  odds_ratio = exp(coef(b)), odds_confint = unname(exp(confint.default(b))),
  # predictions made wrong on purpose: p^1.5
  recalibration = c(coef(recal), sqrt(diag(vcov(recal)))),
  in_the_large = c(coef(large), sqrt(vcov(large)))
)

# ---- single level, several trials per row ---------------------------------------------------
g <- glm(cbind(incidence, size - incidence) ~ period, binomial, cbpp, control = tight)
out$cbpp_glm <- list(
  hat = hatvalues(g), cooks = cooks.distance(g), deviance = residuals(g),
  pearson = residuals(g, "pearson"), response = residuals(g, "response")
)

# ---- several categories ---------------------------------------------------------------------
wide <- housing[rep(seq_len(nrow(housing)), housing$Freq), ]
m <- multinom(Sat ~ Infl + Type + Cont, wide, trace = FALSE, reltol = 1e-14, maxit = 1000)
P <- fitted(m)
Y <- model.matrix(~ Sat - 1, wide)
score <- 1 - P[, 1]
bin <- cut(score, unique(quantile(score, seq(0, 1, 0.1))), include.lowest = TRUE)
OE <- rowsum(Y - P, bin)^2 / rowsum(P, bin)
out$housing <- list(
  hosmer_lemeshow = sum(OE), bins = nlevels(bin),
  hand_till = as.numeric(multiclass.roc(wide$Sat, P, quiet = TRUE)$auc),
  auc_low = as.numeric(auc(roc(wide$Sat == "Low", P[, "Low"], quiet = TRUE, direction = "<"))),
  auc_low_se = sqrt(var(roc(wide$Sat == "Low", P[, "Low"], quiet = TRUE, direction = "<"))),
  brier = mean(rowSums((Y - P)^2))
)

# ---- multilevel -----------------------------------------------------------------------------
control <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13,
                        optCtrl = list(rhobeg = 1e-4, rhoend = 1e-9, maxfun = 1e5))
refit <- function(model, data) {
  start <- glmer(model, data, binomial)
  glmer(model, data, binomial, control = control,
        start = list(theta = getME(start, "theta"), fixef = fixef(start)))
}
model <- cbind(incidence, size - incidence) ~ period + (1 | herd)
f <- refit(model, cbpp)
estimates <- function(fit) c(fixef(fit), sd = as.data.frame(VarCorr(fit))$sdcor[1])
without <- t(sapply(levels(cbpp$herd), function(h) {
  estimates(refit(model, subset(cbpp, herd != h)))
}))
out$cbpp <- list(
  response = residuals(f, "response"), pearson = residuals(f, "pearson"),
  deviance = residuals(f, "deviance"),
  dfbeta = unname(-sweep(without, 2, estimates(f))), # full estimates minus those without
  sd = estimates(f)[["sd"]]
)

contraception <- mlmRev::Contraception
contraception$use <- as.numeric(contraception$use) - 1
s <- refit(use ~ age + I(age^2) + urban + livch + (1 + urban | district), contraception)
Z <- cbind(1, contraception$urban == "Y")
Sigma <- as.matrix(VarCorr(s)$district)[, ]
random <- mean(rowSums((Z %*% Sigma) * Z)) # Johnson (2014)
fixed <- var(as.vector(model.matrix(s) %*% fixef(s)))
ybar <- mean(contraception$use)
share <- function(part, residual) part / (fixed + random + residual)
out$contraception <- list(
  variance = random, fixed = fixed, icc = random / (random + pi^2 / 3),
  icc_conditional = share(random, pi^2 / 3),
  marginal = share(fixed, pi^2 / 3), conditional = share(fixed + random, pi^2 / 3),
  marginal_delta = share(fixed, 1 / (ybar * (1 - ybar))),
  conditional_delta = share(fixed + random, 1 / (ybar * (1 - ybar))),
  mor = exp(sqrt(2 * Sigma[1, 1]) * qnorm(0.75))
)

here <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
write(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = TRUE, dataframe = "columns",
             matrix = "rowmajor"), file.path(dirname(here), "assessment.json"))

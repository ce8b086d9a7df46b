# Predictions by lme4 and glmmTMB at tight tolerances, for tests/result/prediction/test_prediction.py.
# Usage: Rscript predictions.R > predictions.json
# Debian: r-cran-lme4, r-cran-glmmtmb, r-cran-jsonlite, r-cran-mlmrev
suppressMessages({ library(lme4); library(glmmTMB); library(jsonlite) })
tight_tmb <- glmmTMBControl(optCtrl = list(iter.max = 1e4, eval.max = 1e4, rel.tol = 1e-15, x.tol = 1e-13))
tight <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-9, maxfun = 1e6),
                      tolPwrss = 1e-13, check.conv.grad = "ignore", check.conv.hess = "ignore")
restart <- glmerControl(optimizer = "nloptwrap", tolPwrss = 1e-13, check.conv.grad = "ignore",
                        check.conv.hess = "ignore", optCtrl = list(algorithm = "NLOPT_LN_BOBYQA",
                        xtol_abs = 1e-12, ftol_abs = 1e-14, ftol_rel = 0, xtol_rel = 0, maxeval = 1e5))
with_errors <- function(fit, new, form, type = "link") {
  made <- predict(fit, new, type = type, se.fit = TRUE, re.form = form, allow.new.levels = TRUE)
  list(fit = unname(made$fit), se = unname(made$se.fit))
}
both <- function(formula, data, unseen) {
  few <- data[1:8, ]
  tmb <- glmmTMB(formula, data, binomial, control = tight_tmb)
  lme <- glmer(formula, data, binomial, control = tight)
  lme <- update(lme, start = getME(lme, c("theta", "fixef")), control = restart)
  list(
    lme4_conditional = unname(predict(lme, few, type = "response")),
    lme4_population = unname(predict(lme, few, type = "response", re.form = NA)),
    conditional = with_errors(tmb, few, NULL),
    response = with_errors(tmb, few, NULL, "response"),
    new_level = with_errors(tmb, unseen(few), NULL),
    population = with_errors(tmb, few, NA),
    max_gradient = max(abs(tmb$obj$gr(tmb$fit$par)))
  )
}
data(Contraception, package = "mlmRev")
data(VerbAgg)
VerbAgg$y <- as.integer(VerbAgg$r2 == "Y")
out <- list(
  cbpp = both(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp,
              function(few) transform(few, herd = factor("new"))),
  contraception = both(use ~ age + I(age^2) + urban + livch + (1 + urban | district), Contraception,
                       function(few) transform(few, district = factor("new"))),
  verbagg = both(y ~ Anger + Gender + btype + situ + (1 | id) + (1 | item), VerbAgg,
                 function(few) transform(few, id = factor("new"))),
  versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4")),
                  glmmTMB = as.character(packageVersion("glmmTMB")))
)
cat(toJSON(out, auto_unbox = TRUE, digits = NA, pretty = TRUE))

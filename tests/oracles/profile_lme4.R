# Profile-likelihood intervals of the Contraception models by lme4, with their seconds:
# tests/oracles/profile_lme4.json has what this prints. 10 and 37 minutes on a busy core.
# Usage: Rscript tests/oracles/profile_lme4.R BANK, BANK being the directory that holds data/.
suppressMessages(library(lme4))
bank <- commandArgs(TRUE)[1]
d <- read.csv(file.path(bank, "data", "contraception.csv"))
d$livch <- factor(d$livch); d$urban <- factor(d$urban); d$district <- factor(d$district)
ctl <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 2e-4, rhoend = 2e-7, maxfun = 1e5), calc.derivs=FALSE)
models <- list(ri = y ~ age + I(age^2) + urban + livch + (1 | district),
               slope = y ~ age + I(age^2) + urban + livch + (1 + urban | district))
out <- list()
for (name in names(models)) {
  fit <- glmer(models[[name]], d, binomial, control = ctl)
  seconds <- system.time(ci <- confint(fit, method = "profile", oldNames = FALSE, quiet = TRUE))[["elapsed"]]
  cat(name, seconds, "\n"); print(format(ci, digits = 15)); flush.console()
}

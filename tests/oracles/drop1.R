# Likelihood ratio tests of single terms, for tests/test_dropped_terms.py: drop1() of lme4 and
# glmmTMB, differences of deviances of nnet. Prints what the test holds.
suppressMessages({library(lme4); library(glmmTMB); library(nnet); library(mlmRev); library(MASS)})
options(digits = 10)

women <- transform(Contraception, y = use == "Y")
fit <- glmmTMB(y ~ age + I(age^2) + urban * livch + (1 + urban | district), women, family = binomial)
print(drop1(fit, test = "Chisq"))

print(drop1(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial),
            test = "Chisq"))

fit <- multinom(Sat ~ Infl * Type + Cont, data = housing, weights = Freq, trace = FALSE,
                reltol = 1e-14, maxit = 1000)
for (without in c(. ~ . - Cont, . ~ . - Infl:Type))
  print(update(fit, without)$deviance - fit$deviance)

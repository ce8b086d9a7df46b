// Python's view of CrossedData: shapes are checked and the interpreter lock is released here.
#include <nanobind/stl/string.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "bind_arrays.hpp"
#include "bindings.hpp"
#include "crossed.hpp"

namespace multilogit {

namespace {

std::vector<FactorCodes> factors(const std::vector<Codes>& codes,
                                 const std::vector<std::size_t>& levels,
                                 const std::vector<int>& effects, std::size_t rows) {
  require(!codes.empty() && codes.size() == levels.size() && codes.size() == effects.size(),
          "codes, levels and effects must have a value per factor");
  std::vector<FactorCodes> out;
  std::size_t variables = 0;
  for (std::size_t f = 0; f < codes.size(); ++f) {
    require(effects[f] >= 1 && levels[f] >= 1, "every factor needs a level and an effect");
    variables += levels[f] * static_cast<std::size_t>(effects[f]);
    out.push_back({checked_codes(codes[f], rows, levels[f]), levels[f], effects[f]});
  }
  constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
  int row_effects = 0;
  for (const int q : effects) row_effects += q;
  require(row_effects <= kMaxRowEffects, "at most 32 random effects in a row");
  require(variables <= kMost && rows * static_cast<std::size_t>(row_effects) <= kMost,
          "too many rows or random effects");
  return out;
}

void construct(CrossedData* self, const std::vector<Vector>& x, const std::vector<Vector>& z,
               const std::vector<int>& logit, const Counts& y, const Vector& n,
               const std::optional<Vector>& offset, const std::vector<Codes>& codes,
               const std::vector<std::size_t>& levels, const std::vector<int>& effects,
               bool categorical, double memory, const std::string& keep) {
  const std::size_t rows = y.shape(0);
  require(n.shape(0) == rows && (!offset || offset->shape(0) == rows),
          "y, n and offset must have equal lengths");
  require(1 <= y.shape(1) && y.shape(1) <= kMaxRowLogits, "y must have between 1 and 16 columns");
  require(categorical || y.shape(1) == 1, "a binomial y must have one column");
  require(logit.size() == z.size(), "logit and z must have equal lengths");
  for (const int c : logit)
    require(0 <= c && static_cast<std::size_t>(c) < y.shape(1), "logit must name columns of y");
  CrossedColumns data;
  data.x = pointers(x, rows);
  data.z = pointers(z, rows);
  data.logit = logit;
  data.counts = pointers(y);
  data.trials = n.data();
  data.offset = offset ? offset->data() : nullptr;
  data.categorical = categorical;
  const auto by_factor = factors(codes, levels, effects, rows);
  std::size_t q = 0;
  for (const int effect : effects) q += static_cast<std::size_t>(effect);
  require(q == z.size(), "z must have a column per effect");
  require(keep == "best" || keep == "dense" || keep == "sparse", "keep: best, dense or sparse");
  const Keep kept = keep == "dense" ? Keep::dense : keep == "sparse" ? Keep::sparse : Keep::best;
  nb::gil_scoped_release release;
  new (self) CrossedData(data, by_factor, rows, memory, kept);
}

nb::tuple plan(int x_columns, int logits, const std::vector<Codes>& codes,
               const std::vector<std::size_t>& levels, const std::vector<int>& effects,
               double memory) {
  require(!codes.empty(), "codes must have a value per factor");
  const std::size_t rows = codes[0].shape(0);
  const auto by_factor = factors(codes, levels, effects, rows);
  CrossedPlan plan;
  {
    nb::gil_scoped_release release;
    CrossedLayout layout(by_factor, rows);
    plan = plan_crossed(layout, x_columns, logits, memory, Keep::best);
  }
  return nb::make_tuple(plan.bytes, plan.sparse);
}

void set_structure(CrossedData& self, const std::vector<int>& z, const std::vector<int>& row,
                   const std::vector<int>& column) {
  require(z.size() == static_cast<std::size_t>(self.q()), "z must name a column per effect");
  for (const int a : z) require(0 <= a && a < self.q(), "z must name columns of Z");
  check_theta(row, column, self.q());
  const std::lock_guard lock(self.busy);
  self.set_structure(z, row, column);
}

void turn(CrossedData& self, const std::vector<int>& z, const Matrix& turn) {
  const auto q = static_cast<std::size_t>(self.q());
  require(z.size() == q && turn.shape(0) == q && turn.shape(1) == q, "turn must be q x q");
  for (const int a : z) require(0 <= a && a < self.q(), "z must name columns of Z");
  const std::lock_guard lock(self.busy);
  self.turn(z, turn.data());
}

void set_response(CrossedData& self, const Counts& y, const Vector& n) {
  require(y.shape(0) == self.layout().rows && n.shape(0) == self.layout().rows,
          "y and n must be as long as the data");
  require(y.shape(1) == static_cast<std::size_t>(self.logits()), "y must have a column per logit");
  const std::lock_guard lock(self.busy);
  self.set_response(pointers(y), n.data());
}

nb::tuple evaluate(CrossedData& self, const Vector& psi, bool full, std::size_t threads) {
  require(self.m() > 0, "call set_structure first");
  const auto size = static_cast<std::size_t>(self.size());
  require(psi.shape(0) == size, "psi must hold p + m numbers");
  const auto result = unlocked(self, [&] { return self.evaluate(psi.data(), full, threads); });
  return nb::make_tuple(result.value, to_numpy(result.gradient, {size}),
                        to_numpy(result.hessian, {size, size}), result.modes_found, result.exact,
                        result.inner_iterations);
}

double correction(CrossedData& self, const Vector& psi, std::size_t threads) {
  require(self.m() > 0, "call set_structure first");
  require(psi.shape(0) == static_cast<std::size_t>(self.size()), "psi must hold p + m numbers");
  return unlocked(self, [&] { return self.correction(psi.data(), threads); });
}

// The factor's levels and effects.
std::pair<std::size_t, std::size_t> shape_of(const CrossedData& self, int factor) {
  const CrossedLayout& layout = self.layout();
  for (int f = 0; f < layout.factors; ++f)
    if (layout.factor[f] == factor)
      return {layout.levels[f], static_cast<std::size_t>(layout.effects[f])};
  throw nb::value_error("no such factor");
}

nb::tuple modes(CrossedData& self, int factor) {
  const auto [levels, q] = shape_of(self, factor);
  double *u, *covariance;
  Output modes = new_array({levels, q}, &u);
  Output blocks = new_array({levels, q, q}, &covariance);
  const std::lock_guard lock(self.busy);
  self.get_modes(factor, u, covariance);
  return nb::make_tuple(modes, blocks);
}

nb::tuple moments(CrossedData& self, const Vector& beta, int factor) {
  require(self.m() > 0, "call set_structure first");
  require(beta.shape(0) == static_cast<std::size_t>(self.p()), "beta must hold p numbers");
  const auto [levels, q] = shape_of(self, factor);
  double *score, *information;
  Output scores = new_array({levels, q}, &score);
  Output blocks = new_array({levels, q, q}, &information);
  unlocked(self, [&] { self.moments(beta.data(), factor, score, information); });
  return nb::make_tuple(scores, blocks);
}

}  // namespace

void bind_crossed(nb::module_& m) {
  m.def("crossed_plan", &plan, nb::arg("x_columns"), nb::arg("logits"), nb::arg("codes"),
        nb::arg("levels"), nb::arg("effects"), nb::arg("memory"));
  nb::class_<CrossedData>(m, "CrossedData")
      .def("__init__", &construct, nb::arg("x"), nb::arg("z"), nb::arg("logit"), nb::arg("y"),
           nb::arg("n"), nb::arg("offset").none(), nb::arg("codes"), nb::arg("levels"),
           nb::arg("effects"), nb::arg("categorical"), nb::arg("memory"), nb::arg("keep"))
      .def_prop_ro("bytes", &CrossedData::bytes)
      .def_prop_ro("sparse", &CrossedData::sparse)
      .def("set_structure", &set_structure, nb::arg("z"), nb::arg("row"), nb::arg("column"))
      .def("turn", &turn, nb::arg("z"), nb::arg("turn"))
      .def("set_response", &set_response, nb::arg("y"), nb::arg("n"))
      .def("modes", &modes, nb::arg("factor"))
      .def("moments", &moments, nb::arg("beta"), nb::arg("factor"))
      .def("evaluate", &evaluate, nb::arg("psi"), nb::arg("full"), nb::arg("threads"))
      .def("correction", &correction, nb::arg("psi"), nb::arg("threads"));
}

}  // namespace multilogit

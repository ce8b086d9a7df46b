// Python's view of NestedData: shapes are checked and the interpreter lock is released here.

#include <nanobind/stl/string.h>

#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "bind_arrays.hpp"
#include "bindings.hpp"
#include "nested.hpp"

namespace multilogit {

namespace {

void construct(NestedData* self, const std::vector<Vector>& columns, int p, bool categorical,
               const std::vector<Vector>& y, const Vector& n, const std::optional<Vector>& offset,
               const std::vector<Codes>& codes, const std::vector<std::size_t>& groups,
               const std::string& scratch) {
  const std::size_t rows = n.shape(0);
  require(rows <= std::numeric_limits<RowIndex>::max(), "at most 2^31 - 1 rows");
  require(y.size() == 1 || categorical, "a binomial response has one column");
  require(1 <= y.size() && y.size() <= kMaxLogits, "between 1 and 16 logits");
  require(!offset || offset->shape(0) == rows, "offset must be as long as y");
  require(p >= 0 && static_cast<std::size_t>(p) <= columns.size(), "0 <= p <= number of columns");
  require(!codes.empty() && codes.size() == groups.size(), "codes and groups: one of each level");
  std::vector<const std::int32_t*> levels;
  for (std::size_t d = 0; d < codes.size(); ++d) {
    require(groups[d] > 0, "every level must have groups");
    levels.push_back(checked_codes(codes[d], rows, groups[d]));
  }
  const auto x = pointers(columns, rows), counts = pointers(y, rows);
  nb::gil_scoped_release release;
  new (self) NestedData(x, p, categorical, counts, n.data(), offset ? offset->data() : nullptr,
                        levels, rows, groups, scratch);
}

void set_structure(NestedData& self, const std::vector<int>& z, const std::vector<int>& logits,
                   const std::vector<int>& effects, std::vector<int> row, std::vector<int> column) {
  const int q = static_cast<int>(z.size());
  require(1 <= q && q <= kMaxPath, "between 1 and 32 random effects per row");
  require(static_cast<int>(effects.size()) == self.levels() &&
              std::accumulate(effects.begin(), effects.end(), 0) == q,
          "effects must add up to the length of z, one number per level");
  for (const int n : effects)
    require(0 < n && n <= kMaxEffects, "between 1 and 16 random effects at every level");
  for (const int a : z) require(0 <= a && a < self.columns(), "z must name columns of the data");
  require(logits.size() == z.size(), "z and logits must have equal lengths");
  for (const int c : logits) require(0 <= c && c < self.logits(), "logits must name columns of y");
  check_theta(row, column, q);
  std::vector<int> level;
  for (std::size_t d = 0; d < effects.size(); ++d)
    level.insert(level.end(), effects[d], static_cast<int>(d));
  for (std::size_t k = 0; k < row.size(); ++k) {
    require(level[row[k]] == level[column[k]], "theta must lie in a block of one level");
    require(k == 0 || level[row[k - 1]] <= level[row[k]], "theta must be given level by level");
  }
  const std::lock_guard lock(self.busy);
  self.set_structure(z, logits, effects, std::move(row), std::move(column));
}

void set_nodes(NestedData& self, const std::vector<Matrix>& nodes,
               const std::vector<Vector>& log_weights) {
  require(self.q() > 0, "call set_structure first");
  require(nodes.size() == log_weights.size(), "nodes and log_weights must have equal lengths");
  require(nodes.empty() || static_cast<int>(nodes.size()) == self.levels(),
          "nodes: one array for each level, or none");
  std::vector<NodeRule> rules;
  for (std::size_t d = 0; d < nodes.size(); ++d) {
    require(nodes[d].shape(0) == log_weights[d].shape(0) && nodes[d].shape(0) > 0 &&
                nodes[d].shape(1) == static_cast<std::size_t>(self.effects(static_cast<int>(d))),
            "nodes must have shape (count, q) and log_weights (count,) at every level");
    rules.push_back({{nodes[d].data(), nodes[d].data() + nodes[d].size()},
                     {log_weights[d].data(), log_weights[d].data() + log_weights[d].size()}});
  }
  const std::lock_guard lock(self.busy);
  self.set_nodes(std::move(rules));
}

nb::list modes(NestedData& self) {
  require(self.q() > 0, "call set_structure first");
  const std::lock_guard lock(self.busy);
  nb::list out;
  for (int d = 0; d < self.levels(); ++d) {
    const auto q = static_cast<std::size_t>(self.effects(d));
    double *u, *covariance;
    Output modes = new_array({self.groups(d), q}, &u);
    Output packed = new_array({self.groups(d), q * (q + 1) / 2}, &covariance);
    self.get_modes(d, u, covariance);
    out.append(nb::make_tuple(modes, packed));
  }
  return out;
}

nb::list moments(NestedData& self, const Vector& beta) {
  require(self.q() > 0, "call set_structure first");
  require(beta.shape(0) == static_cast<std::size_t>(self.p()), "beta must hold p numbers");
  nb::list out;
  std::vector<double*> score(self.levels()), information(self.levels());
  for (int d = 0; d < self.levels(); ++d) {
    const auto q = static_cast<std::size_t>(self.effects(d));
    Output scores = new_array({self.groups(d), q}, &score[d]);
    Output packed = new_array({self.groups(d), q * (q + 1) / 2}, &information[d]);
    out.append(nb::make_tuple(scores, packed));
  }
  unlocked(self, [&] { self.moments(beta.data(), score, information); });
  return out;
}

void set_modes(NestedData& self, const std::vector<Matrix>& u) {
  require(static_cast<int>(u.size()) == self.levels(), "u: one array for each level");
  for (int d = 0; d < self.levels(); ++d)
    require(u[d].shape(0) == self.groups(d) &&
                u[d].shape(1) == static_cast<std::size_t>(self.effects(d)),
            "u must have shape (groups, q) at every level");
  const std::lock_guard lock(self.busy);
  for (int d = 0; d < self.levels(); ++d) self.set_modes(d, u[d].data());
}

void set_response(NestedData& self, const std::vector<Vector>& y, const Vector& n) {
  require(static_cast<int>(y.size()) == self.logits(), "y must have as many columns as before");
  const auto counts = pointers(y, self.rows());
  require(n.shape(0) == self.rows(), "n must be as long as the data");
  const std::lock_guard lock(self.busy);
  self.set_response(counts, n.data());
}

}  // namespace

void bind_nested(nb::module_& m) {
  nb::class_<NestedData>(m, "NestedData")
      .def("__init__", &construct, nb::arg("columns"), nb::arg("p"), nb::arg("categorical"),
           nb::arg("y"), nb::arg("n"), nb::arg("offset").none(), nb::arg("codes"),
           nb::arg("groups"), nb::arg("scratch"))
      .def_prop_ro("bytes", &NestedData::bytes)
      .def_prop_ro("most_leaves", &NestedData::most_leaves)
      .def("release", [](NestedData& self) { unlocked(self, [&] { self.release(); }); })
      .def("prefetch", &NestedData::prefetch)
      .def("set_structure", &set_structure, nb::arg("z"), nb::arg("logits"), nb::arg("effects"),
           nb::arg("row"), nb::arg("column"))
      .def("set_nodes", &set_nodes, nb::arg("nodes"), nb::arg("log_weights"))
      .def("set_response", &set_response, nb::arg("y"), nb::arg("n"))
      .def("set_modes", &set_modes, nb::arg("u"))
      .def("modes", &modes)
      .def("moments", &moments, nb::arg("beta"))
      .def("evaluate", &evaluate_modes<NestedData>, nb::arg("psi"), nb::arg("threads"));
}

}  // namespace multilogit

// Python's view of GroupedData: shapes are checked and the interpreter lock is released here.

#include <nanobind/stl/string.h>

#include <limits>
#include <optional>
#include <string>

#include "bind_arrays.hpp"
#include "bindings.hpp"
#include "grouped.hpp"

namespace multilogit {

namespace {

void construct(GroupedData* self, const std::vector<Vector>& columns, int x_columns,
               const Counts& y, const Vector& n, const std::optional<Vector>& offset,
               const Codes& codes, std::size_t groups, bool categorical, const std::string& scratch,
               std::size_t threads) {
  const std::size_t rows = y.shape(0);
  require(n.shape(0) == rows, "y and n must have equal lengths");
  require(rows <= std::numeric_limits<RowIndex>::max(), "at most 2^31 - 1 rows");
  require(1 <= y.shape(1) && y.shape(1) <= kMaxLogits, "y must have between 1 and 16 columns");
  require(categorical || y.shape(1) == 1, "a binomial y must have one column");
  require(!offset || offset->shape(0) == rows, "offset must be as long as y");
  require(x_columns >= 0 && static_cast<std::size_t>(x_columns) <= columns.size(),
          "0 <= x_columns <= number of columns");
  GroupedData::Columns data;
  data.columns = pointers(columns, rows);
  data.x_columns = x_columns;
  data.counts = pointers(y);
  data.trials = n.data();
  data.offset = offset ? offset->data() : nullptr;
  data.categorical = categorical;
  const std::int32_t* group = checked_codes(codes, rows, groups);
  nb::gil_scoped_release release;
  new (self) GroupedData(data, group, rows, groups, scratch, threads);
}

void set_structure(GroupedData& self, std::vector<int> z, std::vector<int> logit,
                   std::vector<int> row, std::vector<int> column) {
  const int q = static_cast<int>(z.size());
  require(1 <= q && q <= kMaxEffects, "between 1 and 16 random effects per group");
  for (const int a : z) require(0 <= a && a < self.columns(), "z must name columns of the data");
  require(logit.size() == z.size(), "logit and z must have equal lengths");
  for (const int c : logit) require(0 <= c && c < self.logits(), "logit must name columns of y");
  check_theta(row, column, q);
  const std::lock_guard lock(self.busy);
  self.set_structure(std::move(z), std::move(logit), std::move(row), std::move(column));
}

void set_nodes(GroupedData& self, const Matrix& nodes, const Vector& log_weights) {
  require(self.q() > 0, "call set_structure first");
  require(nodes.shape(1) == static_cast<std::size_t>(self.q()) &&
              nodes.shape(0) == log_weights.shape(0),
          "nodes must have shape (k, q) and log_weights (k,)");
  const std::lock_guard lock(self.busy);
  self.set_nodes({nodes.data(), nodes.data() + nodes.size()},
                 {log_weights.data(), log_weights.data() + log_weights.size()});
}

nb::tuple modes(GroupedData& self) {
  const std::lock_guard lock(self.busy);
  const auto q = static_cast<std::size_t>(self.q());
  double *u, *covariance;
  Output modes = new_array({self.groups(), q}, &u);
  Output packed = new_array({self.groups(), q * (q + 1) / 2}, &covariance);
  self.get_modes(u, covariance);
  return nb::make_tuple(modes, packed);
}

nb::tuple moments(GroupedData& self, const Vector& beta) {
  require(self.q() > 0, "call set_structure first");
  require(beta.shape(0) == static_cast<std::size_t>(self.p()), "beta must hold p numbers");
  const auto q = static_cast<std::size_t>(self.q());
  double *score, *information;
  Output scores = new_array({self.groups(), q}, &score);
  Output packed = new_array({self.groups(), q * (q + 1) / 2}, &information);
  unlocked(self, [&] { self.moments(beta.data(), score, information); });
  return nb::make_tuple(scores, packed);
}

void set_modes(GroupedData& self, const Matrix& u) {
  require(u.shape(0) == self.groups() && u.shape(1) == static_cast<std::size_t>(self.q()),
          "u must have shape (groups, q)");
  const std::lock_guard lock(self.busy);
  self.set_modes(u.data());
}

void set_response(GroupedData& self, const Counts& y, const Vector& n) {
  require(y.shape(0) == self.rows() && n.shape(0) == self.rows(),
          "y and n must be as long as the data");
  require(y.shape(1) == static_cast<std::size_t>(self.logits()), "y must keep its columns");
  require(self.knows_rows(), "tiles in files keep their response");
  const std::lock_guard lock(self.busy);
  self.set_response(pointers(y), n.data());
}

}  // namespace

void bind_grouped(nb::module_& m) {
  nb::class_<GroupedData>(m, "GroupedData")
      .def("__init__", &construct, nb::arg("columns"), nb::arg("x_columns"), nb::arg("y"),
           nb::arg("n"), nb::arg("offset").none(), nb::arg("codes"), nb::arg("groups"),
           nb::arg("categorical"), nb::arg("scratch"), nb::arg("threads") = 1)
      .def_prop_ro("bytes", &GroupedData::bytes)
      .def("release", &GroupedData::release)
      .def("prefetch", &GroupedData::prefetch)
      .def("set_structure", &set_structure, nb::arg("z"), nb::arg("logit"), nb::arg("row"),
           nb::arg("column"))
      .def("set_nodes", &set_nodes, nb::arg("nodes"), nb::arg("log_weights"))
      .def("set_response", &set_response, nb::arg("y"), nb::arg("n"))
      .def("set_modes", &set_modes, nb::arg("u"))
      .def("modes", &modes)
      .def("moments", &moments, nb::arg("beta"))
      .def("evaluate", &evaluate_modes<GroupedData>, nb::arg("psi"), nb::arg("threads"));
}

}  // namespace multilogit

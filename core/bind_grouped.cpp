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

using Counts = nb::ndarray<const double, nb::ndim<2>, nb::f_contig, nb::device::cpu>;

std::vector<const double*> pointers(const Counts& counts) {
  std::vector<const double*> out;
  for (std::size_t j = 0; j < counts.shape(1); ++j)
    out.push_back(counts.data() + j * counts.shape(0));
  return out;
}

void construct(GroupedData* self, const std::vector<Vector>& columns, int x_columns,
               const Counts& y, const Vector& n, const std::optional<Vector>& offset,
               const Codes& codes, std::size_t groups, bool categorical,
               const std::string& scratch) {
  const std::size_t rows = codes.shape(0);
  require(y.shape(0) == rows && n.shape(0) == rows, "y, n and codes must have equal lengths");
  require(rows <= std::numeric_limits<RowIndex>::max(), "at most 2^31 - 1 rows");
  require(1 <= y.shape(1) && y.shape(1) <= kMaxLogits, "y must have between 1 and 16 columns");
  require(categorical || y.shape(1) == 1, "a binomial y must have one column");
  require(!offset || offset->shape(0) == rows, "offset and codes must have equal lengths");
  require(x_columns >= 0 && static_cast<std::size_t>(x_columns) <= columns.size(),
          "0 <= x_columns <= number of columns");
  GroupedData::Columns data;
  for (const Vector& column : columns) {
    require(column.shape(0) == rows, "every column must be as long as codes");
    data.columns.push_back(column.data());
  }
  for (std::size_t i = 0; i < rows; ++i)
    require(codes.data()[i] >= 0 && static_cast<std::size_t>(codes.data()[i]) < groups,
            "codes must lie in 0 .. groups - 1");
  data.x_columns = x_columns;
  data.counts = pointers(y);
  data.trials = n.data();
  data.offset = offset ? offset->data() : nullptr;
  data.categorical = categorical;
  nb::gil_scoped_release release;
  new (self) GroupedData(data, codes.data(), rows, groups, scratch);
}

void set_structure(GroupedData& self, std::vector<int> z, std::vector<int> logit,
                   std::vector<int> row, std::vector<int> column) {
  const int q = static_cast<int>(z.size());
  require(1 <= q && q <= kMaxEffects, "between 1 and 16 random effects per group");
  for (const int a : z) require(0 <= a && a < self.columns(), "z must name columns of the data");
  require(logit.size() == z.size(), "logit and z must have equal lengths");
  for (const int c : logit) require(0 <= c && c < self.logits(), "logit must name columns of y");
  require(row.size() == column.size(), "row and column must have equal lengths");
  for (std::size_t k = 0; k < row.size(); ++k)
    require(0 <= column[k] && column[k] <= row[k] && row[k] < q,
            "theta must lie in the lower triangle");
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

nb::tuple evaluate(GroupedData& self, const Vector& psi, std::size_t threads) {
  require(self.q() > 0, "call set_structure first");
  const auto size = static_cast<std::size_t>(self.size());
  require(psi.shape(0) == size, "psi must hold p + m numbers");
  GroupedData::Result result;
  {
    nb::gil_scoped_release release;
    const std::lock_guard lock(self.busy);
    result = self.evaluate(psi.data(), threads);
  }
  return nb::make_tuple(result.value, to_numpy(result.gradient, {size}),
                        to_numpy(result.hessian, {size, size}), result.modes_found,
                        result.inner_iterations);
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
  {
    nb::gil_scoped_release release;
    const std::lock_guard lock(self.busy);
    self.moments(beta.data(), score, information);
  }
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
           nb::arg("categorical"), nb::arg("scratch"))
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
      .def("evaluate", &evaluate, nb::arg("psi"), nb::arg("threads"));
}

}  // namespace multilogit

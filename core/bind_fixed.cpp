// Python's view of FixedData: shapes are checked, arrays kept alive and the interpreter lock
// released here.

#include <algorithm>
#include <mutex>
#include <optional>

#include "bind_arrays.hpp"
#include "bindings.hpp"
#include "fixed.hpp"
#include "levels.hpp"

namespace multilogit {

namespace {

// The kernel's pointers together with the NumPy arrays that they point into.
struct FixedArrays {
  std::vector<Vector> columns;
  Counts counts;
  Vector trials;
  std::optional<Counts> offset;
  std::optional<Vector> weights;
  FixedData kernel;
  std::mutex busy;  // the response must not change while it is read

  FixedArrays(std::vector<Vector> x, const Counts& y, const Vector& n, std::optional<Counts> o,
              std::optional<Vector> w)
      : columns(std::move(x)), offset(std::move(o)), weights(std::move(w)), kernel({}) {
    FixedColumnsView& data = kernel.data();
    data.rows = n.shape(0);
    for (const Vector& column : columns) {
      require(column.shape(0) == data.rows, "every column must be as long as trials");
      data.columns.push_back(column.data());
    }
    require(y.shape(1) >= 1, "counts must have at least one column");
    if (offset) {
      require(offset->shape(0) == data.rows && offset->shape(1) == y.shape(1),
              "offset and counts must have equal shapes");
      data.offset = pointers(*offset);
    }
    if (weights) {
      require(weights->shape(0) == data.rows, "weights must be as long as trials");
      data.weights = weights->data();
    }
    data.counts.resize(y.shape(1));
    set_response(y, n);
  }

  void set_response(const Counts& y, const Vector& n) {
    FixedColumnsView& data = kernel.data();
    require(n.shape(0) == data.rows, "trials must be as long as every column");
    require(y.shape(0) == data.rows && y.shape(1) == data.counts.size(),
            "counts must have one row per row of trials and one column per logit");
    const std::lock_guard lock(busy);
    counts = y;
    trials = n;
    data.counts = pointers(counts);
    data.trials = trials.data();
  }
};

nb::tuple evaluate(FixedArrays& self, const Vector& beta, std::size_t threads) {
  const std::size_t size = self.kernel.logits() * self.columns.size();
  require(beta.shape(0) == size, "beta must hold one coefficient per column and logit");
  const auto result = unlocked(self, [&] { return self.kernel.evaluate(beta.data(), threads); });
  return nb::make_tuple(result.value, to_numpy(result.gradient, {size}),
                        to_numpy(result.hessian, {size, size}), result.finite);
}

nb::tuple regression(FixedArrays& self, const std::optional<Vector>& w, const Counts& z,
                     std::size_t threads) {
  const std::size_t rows = self.kernel.data().rows, p = self.columns.size();
  require(z.shape(0) == rows && (!w || w->shape(0) == rows), "w and z must be as long as trials");
  const auto result = unlocked(
      self, [&] { return self.kernel.regression(w ? w->data() : nullptr, pointers(z), threads); });
  return nb::make_tuple(to_numpy(result.gram, {p, p}), to_numpy(result.cross, {z.shape(1), p}));
}

using Starts = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Written = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::tuple level_modes(const std::vector<Vector>& columns, const Vector& y, const Vector& n,
                      const std::optional<Vector>& offset, const Starts& first, const Vector& beta,
                      const Written& alpha, const Written& shift, std::size_t threads) {
  const std::size_t rows = n.shape(0), levels = alpha.shape(0), p = columns.size();
  require(first.shape(0) == levels + 1 && first.data()[0] == 0, "first must begin every level");
  for (std::size_t g = 0; g < levels; ++g)
    require(first.data()[g] <= first.data()[g + 1], "first must be ascending");
  require(first.data()[levels] == static_cast<std::int64_t>(rows), "levels must have all rows");
  require(y.shape(0) == rows && shift.shape(0) == rows && (!offset || offset->shape(0) == rows),
          "counts, offset and shift must be as long as trials");
  require(beta.shape(0) == p, "beta must hold one coefficient per column");
  LevelColumns data{{},           y.data(), n.data(), offset ? offset->data() : nullptr,
                    first.data(), levels};
  for (const Vector& column : columns) {
    require(column.shape(0) == rows, "every column must be as long as trials");
    data.x.push_back(column.data());
  }
  LevelModes modes;
  {
    nb::gil_scoped_release release;
    modes = find_level_modes(data, beta.data(), alpha.data(), shift.data(), threads);
  }
  return nb::make_tuple(to_numpy(modes.information, {levels}), to_numpy(modes.cross, {levels, p}),
                        to_numpy(modes.removed, {p, p}), modes.found);
}

}  // namespace

void bind_fixed(nb::module_& m) {
  m.def("level_modes", &level_modes, nb::arg("columns"), nb::arg("counts"), nb::arg("trials"),
        nb::arg("offset").none(), nb::arg("first"), nb::arg("beta"), nb::arg("alpha"),
        nb::arg("shift"), nb::arg("threads"));
  nb::class_<FixedArrays>(m, "FixedData")
      .def(nb::init<std::vector<Vector>, const Counts&, const Vector&, std::optional<Counts>,
                    std::optional<Vector>>(),
           nb::arg("columns"), nb::arg("counts"), nb::arg("trials"), nb::arg("offset").none(),
           nb::arg("weights").none())
      .def("set_response", &FixedArrays::set_response, nb::arg("counts"), nb::arg("trials"))
      .def("evaluate", &evaluate, nb::arg("beta"), nb::arg("threads"))
      .def("regression", &regression, nb::arg("w").none(), nb::arg("z"), nb::arg("threads"));
}

}  // namespace multilogit

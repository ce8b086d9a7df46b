// The glue between Python and the kernels: shapes are checked here, the interpreter lock is
// released here, and nothing is computed here. Compiled once per instruction level.
#include <nanobind/nanobind.h>

#include "bindings.hpp"
#include "simd.hpp"

namespace nb = nanobind;

NB_MODULE(MULTILOGIT_MODULE, m) {
  m.attr("LEVEL") = MULTILOGIT_LEVEL;
  m.attr("LANES") = multilogit::kLanes;
  multilogit::bind_cholesky(m);
  multilogit::bind_fixed(m);
  multilogit::bind_grouped(m);
  multilogit::bind_nested(m);
  multilogit::bind_crossed(m);
}

// What each part of the core contributes to the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace multilogit {

void bind_cholesky(nanobind::module_& m);
void bind_fixed(nanobind::module_& m);
void bind_grouped(nanobind::module_& m);
void bind_nested(nanobind::module_& m);
void bind_crossed(nanobind::module_& m);

}  // namespace multilogit

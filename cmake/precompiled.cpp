// SPDX-License-Identifier: Apache-2.0
// Nothing: it carries the precompiled headers of cmake/precompiled.cmake.

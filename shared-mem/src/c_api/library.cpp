// SPDX-License-Identifier: Apache-2.0
// libunderstudy is made of whole static libraries; a shared library needs one source of its own.

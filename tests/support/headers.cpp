// SPDX-License-Identifier: Apache-2.0
/// Nothing: the headers that the tests share are precompiled with this file (tests/CMakeLists.txt).

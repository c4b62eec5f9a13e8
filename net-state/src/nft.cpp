// SPDX-License-Identifier: Apache-2.0
#include "understudy/net/nft.hpp"

#include <sched.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

#include "understudy/net/namespace.hpp"

// libnftables.h defines _GNU_SOURCE, which g++ has defined already.
#undef _GNU_SOURCE
#include <nftables/libnftables.h>

namespace understudy::net {
namespace {

/// libnftables keeps tables of names in globals: one call at a time in a process.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

struct FreeContext {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};
using Context = std::unique_ptr<nft_ctx, FreeContext>;

/// Its netlink socket belongs to the thread's present namespace.
Context make_context() {
  Context context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (context && (nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0)) {
    context.reset();
  }
  return context;
}

Error error_of(const Context& context, const std::string& commands) {
  std::string text = nft_ctx_get_error_buffer(context.get());
  while (!text.empty() && text.back() == '\n') { text.pop_back(); }
  Errc code = Errc::Failed;
  if (text.find(std::strerror(ENOENT)) != std::string::npos) { code = Errc::NotFound; }
  if (text.find(std::strerror(EEXIST)) != std::string::npos) { code = Errc::Refused; }
  if (text.find("syntax error") != std::string::npos) { code = Errc::BadInput; }
  // The library quotes the line that it refuses, however long that is.
  return failure("nftables refused \"" + commands.substr(0, 200) + "\": " + text.substr(0, 1000), code);
}

/// Of a dry run, which says "PATH:LINE:COLUMNS: Error: WHAT", the line itself, and a mark below it. Where the kernel
/// was not asked (`alone` is false), only what the parser says counts.
Status objection(const std::string& said, bool alone) {
  if (!alone && said.find("syntax error") == std::string::npos) { return {}; }
  const auto line = said.substr(0, said.find('\n'));
  return failure(line.empty() ? "nftables does not say why" : line, Errc::BadInput);
}

}  // namespace

struct Nft::Impl {
  NamespaceHandle home;
  Context context;
  /// Lists. Kept open: the kernel lets whoever closes a netfilter socket wait until all that the last transactions
  /// removed is freed (15 ms were measured), which must not happen between closing a gate and saying so.
  Context lists;
};

Nft::Nft(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Nft::Nft(Nft&&) noexcept = default;
Nft& Nft::operator=(Nft&&) noexcept = default;
Nft::~Nft() = default;

Result<Nft> Nft::open(const std::string& namespace_path) {
  const auto scope = NamespaceScope::enter(namespace_path);
  if (!scope) { return scope.error(); }
  auto home = NamespaceHandle::current();
  if (!home) { return home.error(); }
  const std::lock_guard lock(library_mutex());
  Context context = make_context();
  Context lists = make_context();
  if (!context || !lists) { return failure("cannot make an nftables context"); }
  nft_ctx_output_set_flags(lists.get(), NFT_CTX_OUTPUT_JSON);
  return Nft(std::make_unique<Impl>(Impl{std::move(home).value(), std::move(context), std::move(lists)}));
}

Status Nft::run(const std::string& commands) {
  const auto scope = impl_->home.enter();  // rules may name interfaces by index
  if (!scope) { return scope.error(); }
  const std::lock_guard lock(library_mutex());
  if (nft_run_cmd_from_buffer(impl_->context.get(), commands.c_str()) == 0) { return {}; }
  return error_of(impl_->context, commands);
}

Result<std::string> Nft::list_json(const std::string& list_command) {
  const auto scope = impl_->home.enter();
  if (!scope) { return scope.error(); }
  const std::lock_guard lock(library_mutex());
  if (nft_run_cmd_from_buffer(impl_->lists.get(), list_command.c_str()) != 0) {
    return error_of(impl_->lists, list_command);
  }
  return std::string(nft_ctx_get_output_buffer(impl_->lists.get()));
}

Status check_ruleset(const std::string& path) {
  Status checked;
  std::thread([&] {
    const bool alone = ::unshare(CLONE_NEWNET) == 0;  // ends with this thread
    const std::lock_guard lock(library_mutex());
    const Context context = make_context();
    if (!context) {
      checked = failure("cannot make an nftables context");
      return;
    }
    nft_ctx_set_dry_run(context.get(), true);
    if (nft_run_cmd_from_filename(context.get(), path.c_str()) == 0) { return; }
    checked = objection(nft_ctx_get_error_buffer(context.get()), alone);
  }).join();
  return checked;
}

}  // namespace understudy::net

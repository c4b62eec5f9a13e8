// SPDX-License-Identifier: Apache-2.0
/// Redis over a Unix socket, without its disk. Batched means a pipeline of `batch` SETs and an MGET of `batch` keys.
#include <hiredis/hiredis.h>

#include <charconv>
#include <string_view>

#include "engine.hpp"
#include "stopwatch.hpp"

namespace understudy::bench {
namespace {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeConnection {
  void operator()(redisContext* connection) const { redisFree(connection); }
};
using Connection = std::unique_ptr<redisContext, FreeConnection>;

const char* chars(Bytes bytes) { return reinterpret_cast<const char*>(bytes.data()); }

Connection connect(const std::string& socket) {
  Connection connection(redisConnectUnix(socket.c_str()));
  if (!connection || connection->err != 0) {
    throw std::runtime_error("redis: cannot connect to " + socket + ": " +
                             (connection ? connection->errstr : "no memory"));
  }
  return connection;
}

class Redis final : public Engine {
 public:
  explicit Redis(const EngineSettings& settings)
      : socket_(settings.redis_socket), connection_(connect(settings.redis_socket)) {
    forget_all();
    empty_bytes_ = used_bytes();
  }
  ~Redis() override {
    try {
      forget_all();
    } catch (const std::runtime_error&) {
      // The server is gone, and what it held with it.
    }
  }

  void insert(const Stretch& stretch) override { update_batched(stretch); }
  void update(const Stretch& stretch) override {
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      set_all(Stretch{stretch.work, i, 1});
    }
  }
  void update_batched(const Stretch& stretch) override {
    stretch.in_batches([this](const Stretch& part) { set_all(part); });
  }
  void churn(const Stretch& old, const Stretch& fresh) override {
    for (std::size_t i = 0; i < old.count; ++i) {
      const Bytes gone = old.work.key(old.first + i);
      const char* words[] = {"DEL", chars(gone)};
      const std::size_t sizes[] = {3, gone.size()};
      append(*connection_, 2, words, sizes);
      take(*connection_);
      set_all(Stretch{fresh.work, fresh.first + i, 1});
    }
  }
  std::size_t get(const Stretch& stretch) override {
    std::size_t found = 0;
    for (std::size_t i = stretch.first; i < stretch.first + stretch.count; ++i) {
      found += look(*connection_, stretch.work.key(i));
    }
    return found;
  }
  std::size_t get_batched(const Stretch& stretch) override {
    std::size_t found = 0;
    stretch.in_batches([&](const Stretch& part) {
      const char* words[batch + 1] = {"MGET"};
      std::size_t sizes[batch + 1] = {4};
      for (std::size_t i = 0; i < part.count; ++i) {
        words[i + 1] = chars(part.work.key(part.first + i));
        sizes[i + 1] = part.work.key_bytes();
      }
      append(*connection_, part.count + 1, words, sizes);
      const Reply reply = take(*connection_);
      for (std::size_t i = 0; i < reply->elements; ++i) {
        found += std::size_t{holds(*reply->element[i], part.work.key(part.first + i))};
      }
    });
    return found;
  }
  std::size_t scan() override { return 0; }
  bool attach(Bytes key, double& seconds) override {
    const Stopwatch watch;
    const Connection connection = connect(socket_);
    const bool found = look(*connection, key) == 1;
    seconds = watch.seconds();
    return found;
  }
  [[nodiscard]] Memory memory() const override { return {used_bytes() - empty_bytes_, 0}; }

 private:
  static Reply take(redisContext& connection) {
    void* reply = nullptr;
    if (redisGetReply(&connection, &reply) != REDIS_OK) {
      throw std::runtime_error(std::string("redis: ") + connection.errstr);
    }
    Reply held(static_cast<redisReply*>(reply));
    if (held->type == REDIS_REPLY_ERROR) { throw std::runtime_error(std::string("redis: ") + held->str); }
    return held;
  }
  static void append(redisContext& connection, std::size_t count, const char** words, const std::size_t* sizes) {
    redisAppendCommandArgv(&connection, static_cast<int>(count), words, sizes);
  }
  static bool holds(const redisReply& reply, Bytes key) {
    return reply.type == REDIS_REPLY_STRING && reply.len == value_bytes &&
           belongs(key, std::as_bytes(std::span(reply.str, reply.len)));
  }
  static std::size_t look(redisContext& connection, Bytes key) {
    const char* words[] = {"GET", chars(key)};
    const std::size_t sizes[] = {3, key.size()};
    append(connection, 2, words, sizes);
    return holds(*take(connection), key) ? 1 : 0;
  }
  void set_all(const Stretch& part) {
    part.for_each([this](Bytes key, Bytes value) {
      const char* words[] = {"SET", chars(key), chars(value)};
      const std::size_t sizes[] = {3, key.size(), value.size()};
      append(*connection_, 3, words, sizes);
    });
    for (std::size_t i = 0; i < part.count; ++i) { take(*connection_); }
  }
  void forget_all() {
    redisAppendCommand(connection_.get(), "FLUSHALL SYNC");
    take(*connection_);
  }
  [[nodiscard]] double used_bytes() const {
    redisAppendCommand(connection_.get(), "INFO memory");
    const Reply reply = take(*connection_);
    const std::string_view text(reply->str, reply->len);
    constexpr std::string_view name = "used_memory:";
    const std::size_t at = text.find(name);
    std::uint64_t bytes = 0;
    if (at != std::string_view::npos) {
      std::from_chars(text.data() + at + name.size(), text.data() + text.size(), bytes);
    }
    return static_cast<double>(bytes);
  }

  std::string socket_;
  Connection connection_;
  double empty_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Engine> make_redis(const EngineSettings& settings) { return std::make_unique<Redis>(settings); }

}  // namespace understudy::bench

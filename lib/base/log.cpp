#include "lib/base/log.h"

#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include "lib/base/sync.h"
#include "lib/base/text.h"

namespace platter::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> make(Target target, const std::string& program,
                                     const std::string& path) {
  spdlog::sink_ptr sink;
  switch (target) {
    case Target::standard_error: sink = std::make_shared<spdlog::sinks::stderr_sink_mt>(); break;
    case Target::syslog:
      sink = std::make_shared<spdlog::sinks::syslog_sink_mt>(program, LOG_PID, LOG_DAEMON, false);
      break;
    case Target::file: sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path); break;
  }
  auto logger = std::make_shared<spdlog::logger>(program, std::move(sink));
  if (target == Target::file) {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n: %l: %v");
  } else {
    logger->set_pattern("%n: %v");
  }
  logger->flush_on(spdlog::level::debug);
  return logger;
}

// Where messages go now.
struct Output {
  Mutex mutex;
  std::shared_ptr<spdlog::logger> logger GUARDED_BY(mutex);
  spdlog::level::level_enum lowest GUARDED_BY(mutex) = spdlog::level::warn;
};

// Never destroyed: threads may still have something to say while the process ends.
Output& output() {
  static Output& only = *new Output;
  return only;
}

}  // namespace

bool use(Target target, const std::string& program, const std::string& path) {
  try {
    auto logger = make(target, program, path);
    Output& out = output();
    const MutexLock lock(out.mutex);
    logger->set_level(out.lowest);
    out.logger = std::move(logger);
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void set_level(Level level) {
  Output& out = output();
  const MutexLock lock(out.mutex);
  out.lowest = to_spdlog(level);
  if (out.logger) out.logger->set_level(out.lowest);
}

void write(Level level, std::string_view message) {
  Output& out = output();
  std::shared_ptr<spdlog::logger> logger;
  {
    const MutexLock lock(out.mutex);
    if (!out.logger) {
      out.logger = make(Target::standard_error, "platter", {});
      out.logger->set_level(out.lowest);
    }
    logger = out.logger;
  }
  logger->log(to_spdlog(level), "{}", printable(message));
}

}  // namespace platter::log

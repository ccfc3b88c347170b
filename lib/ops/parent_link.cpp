#include "lib/ops/parent_link.h"

#include "lib/io/memory_file.h"

namespace platter {

Result<void> name_parent(const std::string& image, const Format& format, const ParentLink& link) {
  const auto container = TRY(Container::open(image, {.format = std::string(format.name()),
                                                     .references = References::any,
                                                     .parents = false,
                                                     .access = Access::write}));
  TRY_IN(image, container->chain().front().image->set_parent(link));
  return {};
}

bool tells_contents(const ParentLink& link) {
  return link.modification_uuid || !link.content_id.empty();
}

ParentLink whatever_it_holds(const ParentLink& link) {
  return {.reference = link.reference, .format = link.format, .uuid = link.uuid};
}

// A child made for the trial, in memory, is refused for what a link would be.
Result<void> expect_can_name(const Format& format, const ParentLink& link) {
  constexpr uint64_t kAnySize = MiB;
  const Options none;
  if (!format.can_create_child()) {
    return Error(Errc::unsupported, std::string(format.name()) + " images have no parents");
  }
  TRY(format.create({.file = std::make_shared<MemoryFile>("a child"),
                     .size = kAnySize,
                     .options = none,
                     .parent = link,
                     .name = "child"}));
  return {};
}

}  // namespace platter

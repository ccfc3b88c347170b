// What a VMDK says of itself.
#pragma once

#include "formats/vmdk/vmdk_image.h"

namespace platter::vmdk {

ImageInfo describe(const Opened& opened);

// Empty: the disk has none.
std::optional<ParentLink> parent_of(const Descriptor& descriptor);

// The keys of descriptors whose values are UUIDs, as VirtualBox names them.
inline constexpr const char* kUuidKey = "ddb.uuid.image";
inline constexpr const char* kModificationKey = "ddb.uuid.modification";
inline constexpr const char* kParentKey = "ddb.uuid.parent";
inline constexpr const char* kParentModificationKey = "ddb.uuid.parentmodification";

// parentCID of an image without a parent, and a CID that says to look at ddb.longContentID.
inline constexpr const char* kNoContentId = "ffffffff";
inline constexpr const char* kLongContentId = "fffffffe";

// A comment in one line, as VirtualBox writes it ("\n" for a line end), and back.
std::string escaped(std::string_view comment);
std::string unescaped(std::string_view stored);

}  // namespace platter::vmdk

"""Where Fast DDS looks for its profile."""

# The name of Jazzy's, and that of later versions.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

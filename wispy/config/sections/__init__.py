"""The sections of the configuration, by what they are about; `wispy.config.schema` puts them together."""

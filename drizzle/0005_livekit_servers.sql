CREATE TABLE `livekit_servers` (
	`url` text PRIMARY KEY NOT NULL,
	`first_served_at` integer NOT NULL
) STRICT;

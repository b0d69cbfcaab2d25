-- The processes on the database, and the background passes that one of them runs at a time.
CREATE TABLE `fleet_members` (
	`id` text PRIMARY KEY NOT NULL,
	`expires_at` integer NOT NULL,
	`rate_divisor` integer
) STRICT;
--> statement-breakpoint
CREATE TABLE `pass_leases` (
	`pass` text PRIMARY KEY NOT NULL,
	`holder` text,
	`fence` integer NOT NULL
) STRICT;

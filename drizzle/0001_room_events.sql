CREATE TABLE `adoption_prefixes` (
	`prefix` text PRIMARY KEY NOT NULL,
	`organization_id` text NOT NULL,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`organization_id`) REFERENCES `organizations`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE TABLE `graces` (
	`call_id` text NOT NULL,
	`kind` text NOT NULL,
	`role` text NOT NULL,
	`since` integer NOT NULL,
	`due_at` integer NOT NULL,
	`reason` text NOT NULL,
	PRIMARY KEY(`call_id`, `kind`),
	FOREIGN KEY (`call_id`) REFERENCES `calls`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
CREATE INDEX `graces_due` ON `graces` (`due_at`);--> statement-breakpoint
CREATE TABLE `livekit_events` (
	`id` text PRIMARY KEY NOT NULL,
	`received_at` integer NOT NULL
) STRICT;
--> statement-breakpoint
CREATE INDEX `livekit_events_by_received` ON `livekit_events` (`received_at`);--> statement-breakpoint
ALTER TABLE `calls` ADD `room_life` text;--> statement-breakpoint
ALTER TABLE `calls` ADD `adopted_prefix` text;--> statement-breakpoint
CREATE INDEX `calls_by_room` ON `calls` (`room_name`,`created_at`,`id`);
CREATE TABLE `__new_graces` (
	`call_id` text NOT NULL,
	`kind` text NOT NULL,
	`role` text NOT NULL,
	`since` integer NOT NULL,
	`due_at` integer NOT NULL,
	`reason` text NOT NULL,
	PRIMARY KEY(`call_id`, `kind`, `role`),
	FOREIGN KEY (`call_id`) REFERENCES `calls`(`id`) ON UPDATE no action ON DELETE no action
) STRICT;
--> statement-breakpoint
INSERT INTO `__new_graces`("call_id", "kind", "role", "since", "due_at", "reason") SELECT "call_id", "kind", "role", "since", "due_at", "reason" FROM `graces`;--> statement-breakpoint
DROP TABLE `graces`;--> statement-breakpoint
ALTER TABLE `__new_graces` RENAME TO `graces`;--> statement-breakpoint
CREATE INDEX `graces_due` ON `graces` (`due_at`);
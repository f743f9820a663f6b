s/language: DW_LANG_C11/language: DW_LANG_Go/
s/producer: "[^"]*"/producer: "TinyGo"/
s/\(DISubprogram(name: \)"main_point_move"/\1"(*main.point).move", linkageName: "(*main.point).move"/
s/\(DISubprogram(name: \)"main_total"/\1"main.total", linkageName: "main.total"/
s/\(DISubprogram(name: \)"main_main"/\1"main.main", linkageName: "main.main"/
s/\(DICompositeType(.*name: \)"go_string"/\1"string"/
s/\(DICompositeType(.*name: \)"go_slice"/\1"[]int32"/
s/\(DICompositeType(.*name: \)"main_point"/\1"main.point"/
s/\(DIBasicType(name: \)"int"/\1"int32"/
s/\(DIBasicType(name: \)"unsigned long"/\1"uintptr"/
s/\(DIBasicType(name: \)"unsigned char"/\1"uint8"/
s/@main_point_move\>/@"(*main.point).move"/g
s/@main_total\>/@main.total/g
s/@main_main\>/@main.main/g
s/\(DIGlobalVariable(name: \)"numbers"/\1"main.numbers", linkageName: "main.numbers"/
